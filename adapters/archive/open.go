package archive

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/s3blob"
	"gocloud.dev/gcerrors"

	"daybook/core/fault"
	"daybook/core/ports"
)

// ErrPlace: the URL does not name a place that can hold an archive.
var ErrPlace = fault.New(fault.Invalid, "archive_place", "The URL does not name a place that can hold an archive.")

// Open opens the archive at a URL, also one where nothing was put yet:
//
//	file:///var/lib/daybook-archive       a folder that exists; with ?create_dir=true it is made
//	file://./archive                      a folder below the one the process runs in
//	s3://bucket/folder?region=eu-north-1  an object storage, with the credentials of the usual AWS variables and files
//	s3://bucket/folder?endpoint=https://storage.example&use_path_style=true&region=us-east-1
//
// Its error is ErrPlace, or one that reading the archive gives; none of them shows what a URL may hold of secrets.
func Open(ctx context.Context, address string) (*Archive, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, ErrPlace.Say("The URL of the archive is none: %v.", reason(err))
	}
	var s storage
	switch u.Scheme {
	case fileblob.Scheme:
		s, err = openFolder(u)
	case s3blob.Scheme:
		s, err = openS3(ctx, u)
	default:
		err = ErrPlace.Say("The URL of the archive begins with %q; Daybook knows file:///folder and s3://bucket/folder.", u.Scheme+":")
	}
	if err != nil {
		return nil, err
	}
	a, err := newArchive(s, shown(u))
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	if _, err := a.End(ctx); err != nil {
		if u.Scheme == s3blob.Scheme && gcerrors.Code(err) == gcerrors.NotFound { // an object that is missing is no error there
			err = ErrPlace.Say("The bucket %s of the archive does not exist.", u.Host)
		}
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// reason is what is wrong with a URL, without the URL.
func reason(err error) error {
	var whole *url.Error
	if errors.As(err, &whole) {
		return whole.Err
	}
	return err
}

// shown is the URL without its user and its parameters.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func openFolder(u *url.URL) (storage, error) {
	folder := filepath.FromSlash(u.Path)
	switch {
	case u.Host == ".":
		folder = filepath.Clean(strings.TrimPrefix(folder, string(filepath.Separator)))
	case u.Host != "" && u.Host != "localhost", u.Path == "":
		return nil, ErrPlace.Say("The URL of the archive names no folder: write file:///folder for one from the root on, or file://./folder.")
	}
	create := false
	for name, values := range u.Query() {
		if name != "create_dir" {
			return nil, ErrPlace.Say("The URL of the archive has the parameter %q; that of a folder may have create_dir alone.", name)
		}
		create = values[0] == "true"
	}
	if create {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, unusable(folder, "made", err)
		}
	}
	if info, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
		return nil, missingFolder{ErrPlace.Say("The folder %s of the archive does not exist. Make it, or add ?create_dir=true to the URL.", folder)}
	} else if err == nil && !info.IsDir() {
		return nil, ErrPlace.Say("The archive is to lie in %s, which is not a folder.", folder)
	}
	if err := writable(folder); err != nil {
		return nil, unusable(folder, "written to", err)
	}
	bucket, err := fileblob.OpenBucket(folder, &fileblob.Options{NoTempDir: true, DirFileMode: 0o700, Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		return nil, ErrPlace.Say("The folder %s of the archive cannot be opened: %v.", folder, err)
	}
	return newBlobs(bucket, folder, patience), nil
}

// missingFolder is the ErrPlace of a folder that is not there.
type missingFolder struct{ error }

func (m missingFolder) Unwrap() error { return m.error }

// unusable tells what somebody has to put right from what may pass, such as a disk that fails.
func unusable(folder, how string, err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTDIR) {
		return ErrPlace.Say("The folder %s of the archive cannot be %s: %v.", folder, how, err)
	}
	return ports.ErrArchiveUnavailable.Say("The folder %s of the archive cannot be %s right now.", folder, how).Because(err)
}

// writable tries it: what the rights of a folder say is not all there is to it.
func writable(folder string) error {
	f, err := os.CreateTemp(folder, ".daybook-*.tmp")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func openS3(ctx context.Context, u *url.URL) (storage, error) {
	if u.Host == "" {
		return nil, ErrPlace.Say("The URL of the archive names no bucket: write s3://bucket/folder.")
	}
	bucket, err := (&s3blob.URLOpener{}).OpenBucketURL(ctx, u)
	if err != nil {
		why := strings.ReplaceAll(err.Error(), u.String(), shown(u))
		return nil, ErrPlace.Say("The archive %s cannot be opened: %s.", shown(u), why)
	}
	if folder := strings.Trim(u.Path, "/"); folder != "" {
		bucket = blob.PrefixedBucket(bucket, folder+"/")
	}
	return newBlobs(bucket, "", patience), nil
}
