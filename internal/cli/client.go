package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// maxAnswer bounds an answer that is read as a whole: a page of 500 orders of
// 50 lines each fits well.
const maxAnswer = 64 << 20 // bytes

// Client talks to the routes of checkout on one admin endpoint.
type Client struct {
	Name   string       // the endpoint as people write it, for messages
	Base   string       // http://host:port
	Origin string       // sent as Origin; empty: none
	HTTP   *http.Client // reaches it
}

// apiError is a refusal by the endpoint.
type apiError struct {
	status  int
	message string
}

func (e *apiError) Error() string { return e.message }

// stream asks and returns the body of a good answer.
func (c *Client) stream(ctx context.Context, method, path string, q url.Values, body any) (io.ReadCloser, error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(b)
	}
	target := c.Base + "/checkout/" + path
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.Origin != "" {
		r.Header.Set("Origin", c.Origin)
	}
	resp, err := c.HTTP.Do(r)
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		err = urlErr.Err // the address is said once
	}
	if err != nil {
		return nil, fmt.Errorf("asking Caddy's admin endpoint at %s: %w; is Caddy running there? --address or --config tell where it is", c.Name, err)
	}
	if resp.StatusCode < 300 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	return nil, c.refusal(resp)
}

func (c *Client) refusal(resp *http.Response) error {
	var said struct {
		Error string `json:"error"`
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil {
		err = json.Unmarshal(b, &said)
	}
	if err != nil || said.Error == "" {
		if resp.StatusCode == http.StatusNotFound {
			return fmt.Errorf("the Caddy at %s does not have this command: it was built without the checkout plugin, or with another version of it", c.Name)
		}
		said.Error = "Caddy answered " + resp.Status
	}
	return &apiError{resp.StatusCode, clean(said.Error)}
}

// get reads an answer as a whole into v, and returns it as it came.
func (c *Client) get(ctx context.Context, path string, q url.Values, v any) (raw []byte, err error) {
	return c.call(ctx, http.MethodGet, path, q, nil, v)
}

func (c *Client) post(ctx context.Context, path string, body, v any) (raw []byte, err error) {
	return c.call(ctx, http.MethodPost, path, nil, body, v)
}

func (c *Client) call(ctx context.Context, method, path string, q url.Values, body, v any) ([]byte, error) {
	answer, err := c.stream(ctx, method, path, q, body)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	raw, err := io.ReadAll(io.LimitReader(answer, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", c.Name, err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", c.Name, err)
	}
	return raw, nil
}

// lines calls begun, and then fn for each line of an answer until it ends.
func (c *Client) lines(ctx context.Context, path string, q url.Values, begun func(), fn func(line []byte) error) error {
	answer, err := c.stream(ctx, http.MethodGet, path, q, nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	begun()
	s := bufio.NewScanner(answer)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if err := fn(s.Bytes()); err != nil {
			return err
		}
	}
	return s.Err()
}
