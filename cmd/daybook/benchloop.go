package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"daybook/adapters/apiclient"
)

// The closed loop speaks HTTP/1.1 by hand over its own connection: requests are laid out once and only their numbers change, and
// of an answer only the status and the length are read. The client shares the machine with the server it measures; net/http's
// client would use about as much of it as the server does, and the figures would say little about the server.

// request is a worker's request as it goes out. Only the digits of its account and its key change from one to the next.
type request struct {
	text         []byte
	account, key []byte // parts of text; key is nil without keys
}

// keyDigits is the width of the number in an idempotency key.
const keyDigits = 16

func (w *worker) prepare() request {
	const body = `{"amount":1}`
	var r request
	r.text = fmt.Appendf(nil, "POST /v1/accounts/%s", w.account(0))
	accountEnd := len(r.text)
	r.text = fmt.Appendf(r.text, "/deposit HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", w.host, len(body))
	if w.shown != "" {
		r.text = fmt.Appendf(r.text, "Authorization: %s\r\n", w.shown)
	}
	keyEnd := 0
	if w.keys {
		r.text = fmt.Appendf(r.text, "Idempotency-Key: %s-%s-%d-%0*d", w.prefix, w.name, w.number, keyDigits, 0)
		keyEnd = len(r.text)
		r.text = append(r.text, "\r\n"...)
	}
	r.text = append(r.text, "\r\n"+body...)
	r.account = r.text[accountEnd-accountDigits : accountEnd]
	if w.keys {
		r.key = r.text[keyEnd-keyDigits : keyEnd]
	}
	return r
}

// next is the request for an account with the n-th key.
func (r *request) next(account int, n int64) []byte {
	setDigits(r.account, int64(account))
	setDigits(r.key, n)
	return r.text
}

// setDigits writes n over all of digits.
func setDigits(digits []byte, n int64) {
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
}

// closedLoop sends requests one after the other until the step ends, over one connection as long as it lasts.
func (w *worker) closedLoop(ctx context.Context) {
	prepared := w.prepare()
	var n int64
	for ctx.Err() == nil && time.Now().Before(w.to) {
		conn, err := w.dial(ctx)
		if err != nil {
			w.failed(err.Error())
			if apiclient.Pause(ctx, 100*time.Millisecond) != nil {
				return
			}
			continue
		}
		if err := w.drive(ctx, conn, &prepared, &n); err != nil {
			w.failed(err.Error())
		}
		_ = conn.Close()
	}
}

func (w *worker) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", w.host)
	if err == nil {
		err = conn.SetDeadline(w.to.Add(w.patience))
	}
	return conn, err
}

func (w *worker) drive(ctx context.Context, conn net.Conn, prepared *request, n *int64) error {
	in := bufio.NewReaderSize(conn, 4096)
	for ctx.Err() == nil {
		*n++
		begun := time.Now()
		if begun.After(w.to) {
			return nil
		}
		if _, err := conn.Write(prepared.next(w.target(), *n)); err != nil {
			return err
		}
		status, body, err := readAnswer(in)
		if err != nil {
			return err
		}
		if status/100 == 2 {
			w.answered(begun, time.Now(), 1)
		} else {
			w.failed(fmt.Sprintf("%d %s", status, body))
		}
	}
	return nil
}

var errAnswer = errors.New("this is not an HTTP/1.1 answer with a Content-Length")

// readAnswer reads one answer and gives its status, and its body when it is an error.
func readAnswer(in *bufio.Reader) (status int, body []byte, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, nil, errAnswer
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, errAnswer
	}
	length := -1
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return 0, nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		const name = "Content-Length:"
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(name):]))); err != nil {
				return 0, nil, errAnswer
			}
		}
	}
	if length < 0 {
		return 0, nil, errAnswer
	}
	if status/100 == 2 {
		_, err = in.Discard(length)
		return status, nil, err
	}
	body = make([]byte, length)
	_, err = io.ReadFull(in, body)
	return status, body, err
}
