package archive

import (
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"gocloud.dev/blob"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/contract"
	"daybook/test/faulttable"
)

// objectStorage gives the URL of a bucket that speaks S3, with a folder in it.
func objectStorage(t *testing.T) (bucket, parameters string) {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("cold"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "somebody")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "a-secret-of-theirs")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	return "s3://cold", "?region=us-east-1&use_path_style=true&endpoint=" + server.URL
}

func TestContractInAnObjectStorage(t *testing.T) {
	contract.Archive(t, func(t *testing.T) func(*testing.T) ports.Archive {
		bucket, parameters := objectStorage(t)
		return func(t *testing.T) ports.Archive {
			a, err := Open(t.Context(), bucket+"/ledgers/one"+parameters)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
	})
}

func TestAnObjectStorageThatStandsStillIsGivenUp(t *testing.T) {
	objectStorage(t) // for whom it is
	for what, answer := range map[string]func(http.ResponseWriter){
		"before it answers": func(http.ResponseWriter) {},
		"in the middle of an object": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write(make([]byte, 10)) // a client that has left shows by itself
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(what, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // only then is it noticed that the client leaves
				answer(w)
				<-r.Context().Done()
			}))
			defer server.Close()
			bucket, err := blob.OpenBucket(t.Context(), "s3://cold?region=us-east-1&use_path_style=true&endpoint="+server.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer bucket.Close()
			b := newBlobs(bucket, "", 50*time.Millisecond)
			if _, err := b.get(t.Context(), "x", 0, 100); !errors.Is(err, errStill) {
				t.Errorf("reading: %v", err)
			}
			if _, err := b.list(t.Context()); !errors.Is(err, errStill) {
				t.Errorf("listing: %v", err)
			}
			if what != "before it answers" { // what follows is answered without a body
				return
			}
			if err := b.remove(t.Context(), "x"); !errors.Is(err, errStill) {
				t.Errorf("removing: %v", err)
			}
			if err := b.put(t.Context(), "x", make([]byte, 10)); err == nil {
				t.Error("writing has succeeded")
			}
			left, leave := context.WithTimeout(t.Context(), time.Millisecond)
			defer leave()
			if _, err := b.get(left, "x", 0, 100); err == nil || errors.Is(err, errStill) {
				t.Errorf("whose caller has left: %v", err)
			}
		})
	}
}

func TestAnObjectThatEndsEarlyIsDamagedInAnObjectStorageToo(t *testing.T) {
	bucket, parameters := objectStorage(t)
	a, err := Open(t.Context(), bucket+parameters)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Add(t.Context(), contract.Sealed(t, 2*node)); err != nil {
		t.Fatal(err)
	}
	m := shared{a.storage}
	s := a.known.Load().Segments[0]
	m.with(t, s.Name, m.object(t, s.Name)[:100])
	if _, err := readAll(t, m, 1); !isDamage(err, s.Name, "(0 bytes are there of") {
		t.Error(err)
	}
}

func TestAFolderHoldsNothingButTheManifestAndTheSegmentsThatOthersCannotRead(t *testing.T) {
	folder := t.TempDir()
	a, err := Open(t.Context(), "file://"+folder+"/new/archive?create_dir=true")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Add(t.Context(), contract.Sealed(t, node)); err != nil {
		t.Fatal(err)
	}
	var found []string
	err = filepath.WalkDir(filepath.Join(folder, "new"), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the rights %s", path, info.Mode())
		}
		if !d.IsDir() {
			found = append(found, strings.TrimPrefix(path, folder))
		}
		return err
	})
	want := "/new/archive/manifest.json /new/archive/segments/00000000000000000001-00000000000000000256.ndjson.zst"
	if got := strings.Join(found, " "); err != nil || got != want {
		t.Errorf("there is %s (%v), want %s", got, err, want)
	}
}

func TestAPlaceThatCannotHoldAnArchiveIsRefusedWithWordsAndWithoutSecrets(t *testing.T) {
	_, parameters := objectStorage(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for address, words := range map[string]string{
		"":                                      `"file:///folder`,
		"/var/archive":                          "Daybook knows file:///folder and s3://bucket/folder",
		"mem://":                                `begins with "mem:"`,
		"file://" + folder + "/none":            "does not exist. Make it, or add ?create_dir=true",
		"file://" + file:                        "is not a folder",
		"file://" + file + "/x?create_dir=true": "cannot be made",
		"file://folder/archive":                 "names no folder",
		"file:archive":                          "names no folder",
		"file://" + folder + "?metadata=skip":   `has the parameter "metadata"`,
		"s3://" + parameters:                    "names no bucket",
		"s3://warm" + parameters:                "bucket warm of the archive does not exist",
		"s3://cold?region=x&secret=hush-hush":   `unknown query parameter "secret"`,
		"s3://me:hush-hush@cold:x/":             "is none",
		"ftp://me:hush-hush@host/":              `begins with "ftp:"`,
		"s3://cold?use_path_style=hush":         "use_path_style",
	} {
		a, err := Open(t.Context(), address)
		if err == nil {
			a.Close()
		}
		if !errors.Is(err, ErrPlace) || !strings.Contains(err.Error(), strings.TrimPrefix(words, `"`)) || strings.Contains(err.Error(), "hush-hush") || strings.Contains(err.Error(), "theirs") {
			t.Errorf("%s: %v, want %s", address, err, words)
		}
	}
}

func TestAStorageThatCannotBeReachedIsUnavailable(t *testing.T) {
	_, _ = objectStorage(t)
	server := httptest.NewServer(nil)
	server.Close()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	_, err := Open(ctx, "s3://cold/x?region=us-east-1&use_path_style=true&endpoint="+server.URL)
	if !errors.Is(err, ports.ErrArchiveUnavailable) || strings.Contains(err.Error(), "theirs") {
		t.Error(err)
	}
}

var update = flag.Bool("update", false, "write testdata anew")

// The file in testdata is what the first build wrote: each build after it reads it.
func TestTheArchiveOfTheFirstBuildIsRead(t *testing.T) {
	faulttable.Covers(t, "F59", faulttable.Archive)
	golden := filepath.Join("testdata", "form1")
	events := contract.Sealed(t, 3*node)
	if *update {
		a, err := Open(t.Context(), "file://./"+golden+"?create_dir=true")
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range [][]es.Recorded{events[:node], events[node:]} {
			if err := a.Add(t.Context(), part); err != nil {
				t.Fatal(err)
			}
		}
		a.Close()
	}
	a, err := Open(t.Context(), "file://./"+golden)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	wantOnly(t, a.storage, events)
	wantEnd(t, a, 3*node)
}
