package member

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const histogramFormat = hdrhistogram.V2CompressedEncodingCookieBase

// farewell is how long a member that lost its parent may take to close.
const farewell = 2 * time.Second

// maxLine bounds a request, in bytes.
const maxLine = 1 << 20

// Serve answers requests from in on out until in ends, which is how the parent
// says that it is over, or that it is no more. It then closes what is open and
// returns nil, also if that takes too long. An error means that a line could not be
// understood or an answer not be written.
func Serve(ctx context.Context, in io.Reader, out io.Writer, open Opener) error {
	answer, end := New(open)
	return Converse(ctx, in, out, answer, end)
}

// New returns a member as Serve has one, for requests that come in another way: answer
// is called for one at a time, and end last.
func New(open Opener) (answer func(context.Context, Request) Reply, end func()) {
	s := &session{open: open}
	return s.answer, s.close
}

// Converse is Serve for other requests than this package's: each line of in is a
// request that answer answers, and end is called last.
func Converse[Q, A any](ctx context.Context, in io.Reader, out io.Writer, answer func(context.Context, Q) A, end func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	requests, errs := read[Q](ctx, pollable(in))
	answered := make(chan error, 1)
	go func() {
		err := converse(ctx, requests, out, answer)
		end()
		answered <- err
	}()
	select {
	case err := <-answered:
		return err
	case err := <-errs:
		cancel()
		select {
		case <-answered:
		case <-time.After(farewell):
		}
		return err
	}
}

// converse answers until ctx is done.
func converse[Q, A any](ctx context.Context, requests <-chan Q, out io.Writer, answer func(context.Context, Q) A) error {
	enc := json.NewEncoder(out)
	for {
		select {
		case <-ctx.Done():
			return nil
		case q := <-requests:
			if err := enc.Encode(answer(ctx, q)); err != nil {
				return fmt.Errorf("answer: %w", err)
			}
		}
	}
}

func (s *session) close() {
	if s.media != nil {
		_ = s.media.Close()
	}
}

// read passes on the lines of in until ctx is done. A value in errs says that in
// has ended.
func read[Q any](ctx context.Context, in io.Reader) (<-chan Q, <-chan error) {
	requests, errs := make(chan Q), make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, maxLine)
		for lines.Scan() {
			var q Q
			if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
				errs <- fmt.Errorf("request %q: %w", lines.Text(), err)
				return
			}
			select {
			case requests <- q:
			case <-ctx.Done():
				return
			}
		}
		errs <- errors.Join(lines.Err())
	}()
	return requests, errs
}
