package providers

import (
	"context"
	"fmt"
	"strings"

	"github.com/distillflow/distillflow/internal/llm"
)

// CancelBatch asks a provider to stop working on a batch. server says where it answers
// and with which key; its Model is the batch's.
func CancelBatch(ctx context.Context, b llm.OpenBatch, server Fallback, keyFile string, getenv func(string) string) error {
	server.Model = b.Provider + "/" + b.Model
	if server.BaseURL == "" {
		if !strings.Contains(b.Endpoint, "://") {
			return fmt.Errorf("its server is called %q: say where that is with --base-url", b.Endpoint)
		}
		server.BaseURL = b.Endpoint
	}
	c, err := New(ctx, Settings{Links: []Fallback{server}, KeyFile: keyFile}, Services{Getenv: getenv})
	if err != nil {
		return err
	}
	defer c.Close()
	client, ok := c.links[0].provider.Client.(llm.BatchClient)
	if !ok {
		return fmt.Errorf("%s has no batch API", server.Model)
	}
	return client.CancelBatch(ctx, b.ID)
}
