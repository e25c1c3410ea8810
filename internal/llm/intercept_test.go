package llm

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
)

// An interceptor sees the style and never the gold answer, passes on what it wants to,
// and is the only way to the network.
func TestInterceptor(t *testing.T) {
	served := 0
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
	defer srv.Close()
	client := HTTPClient(nil)
	defer client.CloseIdleConnections()
	get := func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err == nil {
			err = res.Body.Close()
		}
		return err
	}
	var inner Request
	p := Provider{Name: "openai", Client: clientFunc(func(ctx context.Context, req Request) (*Response, error) {
		inner = req
		return &Response{Text: "from the model", FinishReason: FinishStop}, get(ctx)
	})}
	tr := NewTransport(p, Options{})
	var seen []Call
	ctx := WithInterceptor(context.Background(), func(ctx context.Context, c Call, next func(context.Context) (*Response, error)) (*Response, error) {
		seen = append(seen, c)
		if c.Judge {
			return next(ctx)
		}
		return &Response{Text: "recorded", FinishReason: FinishStop}, nil
	})
	hint := Hint{Style: "cot", Question: "q", Gold: "42", Solution: "s"}
	r, err := tr.Complete(ctx, Request{Model: "m", Hint: &hint})
	if err != nil || r.Text != "recorded" || served != 0 {
		t.Errorf("%+v, %v, %d requests", r, err, served)
	}
	hint.Kind, hint.Response = HintJudge, "r"
	if r, err = tr.Complete(ctx, Request{Model: "m", Hint: &hint}); err != nil || r.Text != "from the model" || served != 1 {
		t.Errorf("%+v, %v, %d requests", r, err, served)
	}
	if inner.Hint != nil {
		t.Error("the model got the hint")
	}
	for _, c := range seen {
		if c.Request.Hint != nil || c.Style != "cot" || c.Question != "q" || c.Provider != "openai" {
			t.Errorf("%+v", c)
		}
	}
	if s := tr.Stats(); s.Requests != 2 || s.Calls != 1 {
		t.Errorf("%+v", s)
	}
	if err := get(ctx); KindOf(err) != KindUnrecorded || served != 1 {
		t.Errorf("the network was reached: %v", err)
	}
}
