package llm

import (
	"context"
	"fmt"
	"net/http"
)

// Call is a request as an [Interceptor] sees it: with what is known of the row behind the
// prompt, and without its gold answer.
type Call struct {
	Provider string // name of the provider, such as "openai" or "simulated"
	Request  Request
	Judge    bool   // the prompt asks whether Response is sound reasoning
	Style    string // reasoning style of the path, "" where that is not known
	Question string
	Response string // judge only
}

// Interceptor answers calls in place of the models, or passes them on with next. It must
// be safe for concurrent use.
type Interceptor func(ctx context.Context, c Call, next func(context.Context) (*Response, error)) (*Response, error)

type interceptorKey struct{}

// WithInterceptor gives a context whose calls go to f, before the memo, the limits and the
// budget. Tests of recipes put recorded answers in place of a teacher so. Under this
// context no HTTP request leaves the clients of this module but those that f passes on.
func WithInterceptor(ctx context.Context, f Interceptor) context.Context {
	return context.WithValue(ctx, interceptorKey{}, f)
}

func interceptorOf(ctx context.Context) Interceptor {
	f, _ := ctx.Value(interceptorKey{}).(Interceptor)
	return f
}

// Intercepted reports whether calls under a context go to an [Interceptor].
func Intercepted(ctx context.Context) bool { return interceptorOf(ctx) != nil }

// intercepted asks the context's interceptor, if there is one, and ask otherwise.
func intercepted(ctx context.Context, provider string, req Request, ask func(context.Context) (*Response, error)) (*Response, error) {
	f := interceptorOf(ctx)
	if f == nil {
		return ask(ctx)
	}
	c := Call{Provider: provider, Request: req}
	if h := req.Hint; h != nil {
		c.Judge, c.Style, c.Question, c.Response = h.Kind == HintJudge, h.Style, h.Question, h.Response
		c.Request.Hint = nil // it holds the gold answer
	}
	return f(ctx, c, func(ctx context.Context) (*Response, error) {
		return ask(WithInterceptor(ctx, nil))
	})
}

// fence refuses what would pass an interceptor by.
type fence struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (f fence) RoundTrip(r *http.Request) (*http.Response, error) {
	if interceptorOf(r.Context()) != nil {
		return nil, &Error{Kind: KindUnrecorded, Message: fmt.Sprintf("no network here: a request to %s was refused", r.URL.Host)}
	}
	return f.next.RoundTrip(r)
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] reach the pool.
func (f fence) CloseIdleConnections() {
	if c, ok := f.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
