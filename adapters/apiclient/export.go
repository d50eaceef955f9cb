package apiclient

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/go-json-experiment/json/jsontext"
)

// Export gives the whole ledger as lines, which package logfile reads. The caller closes it.
func (c *Client) Export(ctx context.Context) (io.ReadCloser, error) {
	resp, err := c.do(ctx, http.MethodGet, "/v1/admin/export", nil, nil, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Backup asks the server to copy its store into a directory of its machine, however long that takes, and gives its answer.
func (c *Client) Backup(ctx context.Context, dir string) (jsontext.Value, error) {
	resp, err := c.do(ctx, http.MethodPost, "/v1/admin/backup", url.Values{"dir": {dir}}, nil, nil)
	if err != nil {
		return nil, err
	}
	defer drain(resp)
	return io.ReadAll(resp.Body)
}
