package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/sdk"
)

const (
	// pause lies between two attempts.
	pause = time.Second
	// maxAnswer is how much of an answer is passed on.
	maxAnswer = 1 << 10
)

// Webhook is the hook.
type Webhook struct {
	config Config
	client http.Client
	pause  time.Duration
}

// New makes the hook that config describes.
func New(config *Config) (*Webhook, error) {
	if err := config.Validate().Err(); err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "%w", err)
	}
	return &Webhook{config: *config, client: http.Client{Timeout: config.Timeout}, pause: pause}, nil
}

// event is what is posted.
type event struct {
	Operation string            `json:"operation"`
	Phase     sdk.HookPhase     `json:"phase"`
	Server    string            `json:"server"`
	Error     string            `json:"error,omitempty"`
	Values    map[string]string `json:"values"`
}

// Notify posts the event until it is taken.
func (w *Webhook) Notify(ctx context.Context, e sdk.Event) error {
	body, err := json.Marshal(event{e.Operation, e.Phase, e.Server, e.Error, e.Values})
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err = w.post(ctx, body)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return sdk.Errorf(sdk.Cancelled, "post to %s: %w", w.config.URL, context.Cause(ctx))
		}
		if attempt == w.config.Attempts || sdk.KindOf(err) == sdk.Denied {
			break
		}
		select {
		case <-time.After(w.pause):
		case <-ctx.Done():
		}
	}
	if w.config.Veto || e.Phase == sdk.PhasePost {
		return err // in the post phase barman logs it
	}
	hclog.FromContext(ctx).Warn("nobody took the event; the operation goes on", "url", w.config.URL, "error", err)
	return nil
}

// post posts once. An answer of 4xx is Denied: it will be no other next time, but
// for those that ask for one.
func (w *Webhook) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.config.URL, bytes.NewReader(body))
	if err != nil {
		return sdk.Errorf(sdk.Invalid, "post: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	if w.config.Token != "" {
		request.Header.Set("Authorization", "Bearer "+w.config.Token.Reveal())
	}
	answer, err := w.client.Do(request)
	if err != nil {
		return sdk.Errorf(sdk.Unavailable, "%w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return sdk.Errorf(sdk.Unavailable, "the answer of %s: %w", w.config.URL, err)
	}
	said := fmt.Sprintf("%s answers %s: %s", w.config.URL, answer.Status, strings.Join(strings.Fields(strings.ToValidUTF8(string(text), "?")), " "))
	switch code := answer.StatusCode; {
	case code/100 == 2:
		return nil
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
	case code/100 == 4:
		return sdk.Errorf(sdk.Denied, "%s", said)
	}
	return sdk.Errorf(sdk.Unavailable, "%s", said)
}
