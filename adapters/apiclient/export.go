package apiclient

import (
	"context"
	"io"
	"net/http"
)

// Export gives the whole ledger as lines, which package logfile reads. The caller closes it.
func (c *Client) Export(ctx context.Context) (io.ReadCloser, error) {
	resp, err := c.do(ctx, http.MethodGet, "/v1/admin/export", nil, nil, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
