package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"daybook/adapters/apiclient"
	"daybook/adapters/importer"
)

// importFiles are the files of one import: the one that is read, its mapping, its rejects, and the list of rows that were posted
// when they were retried.
type importFiles struct {
	in      io.Reader
	closers []io.Closer
	mapping *importer.Mapping // nil for NDJSON
	rejects string
	retried string
	partial *os.File // the rejects file while it is written
	size    int64    // of what is read, 0 if not known
	read    atomic.Int64
}

// files opens what the command names. When rejected rows are retried, the rejects file is what is read.
func (i *importing) files(cmd *cobra.Command, name string) (*importFiles, error) {
	f := &importFiles{rejects: i.rejects}
	base := name
	if name == "-" {
		base = "stdin"
	}
	if f.rejects == "" {
		f.rejects = base + ".rejects.csv"
	}
	f.retried = f.rejects + ".retried"
	if i.mapping != "" {
		file, err := os.Open(i.mapping)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		if f.mapping, err = importer.ReadMapping(file); err != nil {
			return nil, usageError{fmt.Errorf("mapping %s: %w", i.mapping, err)}
		}
	}
	switch {
	case i.retry:
		name = f.rejects
	case name == "-":
		f.in = f.count(cmd.InOrStdin())
		return f, nil
	}
	file, err := os.Open(name)
	if i.retry && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s: no row is rejected, or the file was moved (then name it with --rejects)", f.rejects)
	}
	if err != nil {
		return nil, err
	}
	f.closers = append(f.closers, file)
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		f.size = info.Size()
	}
	f.in = f.count(file)
	return f, nil
}

// begin reads the header and binds the mapping to it.
func (f *importFiles) begin(client *apiclient.Client, retry bool) (*importer.Run, error) {
	rows, err := f.open(retry)
	if err != nil {
		return nil, err
	}
	var plan *importer.Plan
	if f.mapping != nil {
		if plan, err = f.mapping.Bind(rows.Header()); err != nil {
			return nil, usageError{err}
		}
	}
	retried, err := f.remembered()
	if err != nil {
		return nil, err
	}
	return importer.NewRun(importer.Options{
		Rows: rows, Plan: plan, Rejects: importer.NewRejects(rows.Header(), f.createPartial), Retried: retried,
		Currency: func(ctx context.Context, account string) (string, error) { return currencyOf(ctx, client, account) },
	}), nil
}

// currencyOf asks for an account as it began: that needs no view, which might not show it yet.
func currencyOf(ctx context.Context, client *apiclient.Client, account string) (string, error) {
	body, err := client.Get(ctx, "/v1/accounts/"+apiclient.Segment(account), url.Values{"version": {"1"}})
	var problem *apiclient.Problem
	if errors.As(err, &problem) && problem.Status == http.StatusNotFound {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var a struct {
		Currency string `json:"currency"`
	}
	return a.Currency, json.Unmarshal(body, &a)
}

func (f *importFiles) open(retry bool) (*importer.Reader, error) {
	switch {
	case retry:
		return importer.NewRejectsReader(f.in)
	case f.mapping == nil:
		rows, err := importer.NewLines(f.in)
		if err != nil {
			err = usageError{fmt.Errorf("%w (--mapping)", err)}
		}
		return rows, err
	}
	return importer.NewReader(f.in, []rune(f.mapping.Separator)[0])
}

func (f *importFiles) remembered() (*importer.Retried, error) {
	file, err := os.Open(f.retried)
	if errors.Is(err, fs.ErrNotExist) {
		return importer.NewRetried(nil, f.appendRetried)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return importer.NewRetried(file, f.appendRetried)
}

func (f *importFiles) appendRetried() (io.Writer, error) {
	file, err := os.OpenFile(f.retried, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		f.closers = append(f.closers, file)
	}
	return file, err
}

// createPartial begins the rejects file under a name of its own: the one before it may be what is read, and must not be lost
// when this run is stopped.
func (f *importFiles) createPartial() (io.Writer, error) {
	var err error
	f.partial, err = os.OpenFile(f.rejects+".partial", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	return f.partial, err
}

// end puts the rejects file in its place. A retry that was stopped leaves the one it read: its rows have the same ids the next
// time. A whole run without rejects leaves none.
func (f *importFiles) end(writing, sending error, retry bool) error {
	if f.partial != nil {
		writing = errors.Join(writing, f.partial.Close())
	}
	switch {
	case writing != nil:
		return writing
	case sending != nil && retry:
		if f.partial == nil {
			return nil
		}
		return os.Remove(f.partial.Name())
	case f.partial != nil:
		return os.Rename(f.partial.Name(), f.rejects)
	case sending == nil:
		if err := os.Remove(f.rejects); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (f *importFiles) close() {
	for _, c := range f.closers {
		_ = c.Close()
	}
}

// count counts the bytes that are read.
func (f *importFiles) count(r io.Reader) io.Reader { return io.TeeReader(r, (*byteCount)(&f.read)) }

// byteCount is a writer that only counts.
type byteCount atomic.Int64

func (b *byteCount) Write(p []byte) (int, error) {
	(*atomic.Int64)(b).Add(int64(len(p)))
	return len(p), nil
}
