package providers

import (
	"context"
	"fmt"
	"slices"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/local"
)

// newLocal makes the client of a model in this process. Its endpoint in memo keys is what
// its files hold, so that a model that is moved keeps its answers and one that was trained
// again does not get those of the old one.
func newLocal(ctx context.Context, l Link) (llm.Provider, error) {
	_, name, err := llm.ParseModel(l.Model)
	if err != nil {
		return llm.Provider{}, err
	}
	ref, err := local.ParseRef(name)
	if err != nil {
		return llm.Provider{}, err
	}
	models := l.Models
	if models == nil {
		models = &local.Models{}
	}
	id, err := models.Identity(ctx, ref)
	if err != nil {
		return llm.Provider{}, err
	}
	return llm.Provider{Endpoint: id, Client: local.NewClient(models, ref, id, l.Device)}, nil
}

// isLocal reports whether a model runs in this process.
func isLocal(model string) bool {
	name, _, err := llm.ParseModel(model)
	return err == nil && name == local.Name
}

// checkLocal finds what is wrong with a local model's settings without opening it. field is
// "" if it is the name.
func checkLocal(f Fallback) (field string, err error) {
	_, name, err := llm.ParseModel(f.Model)
	if err != nil {
		return "", err
	}
	if _, err := local.ParseRef(name); err != nil {
		return "", fmt.Errorf("model %q: %w", f.Model, err)
	}
	for _, s := range []struct{ field, value string }{
		{"base_url", f.BaseURL}, {"endpoint", f.Endpoint}, {"tokens_field", f.TokensField}, {"api_key_env", f.APIKeyEnv},
	} {
		if s.value != "" {
			return s.field, fmt.Errorf("%s does not apply to %s, which runs in this process: remove it", s.field, f.Model)
		}
	}
	return "", nil
}

// checkLocals reports what checkLocal finds in any link, and a device that is unknown.
func (o Options) checkLocals(fail func(field, format string, args ...any)) {
	for i, f := range o.links() {
		if !isLocal(f.Model) {
			continue
		}
		field, err := checkLocal(f)
		switch {
		case err == nil:
			continue
		case i > 0:
			field = "fallback"
		case field == "":
			field = "model"
		}
		fail(field, "%v", err)
	}
	if err := local.CheckDevice(o.Device); err != nil {
		fail("device", "%v", err)
	}
}

// LocalFile is a file that the answers of a local model depend on. Name is unique among
// those of a stage and the same wherever the model lies.
type LocalFile struct {
	Name, Path string
	Hub        local.HubFile // of a model of the Hub; zero for other files
}

// LocalFiles lists the files of all local models that may be asked, which count as inputs
// of the stage. What is wrong with a name is a [FieldError].
func (o Options) LocalFiles(ctx context.Context) ([]LocalFile, error) {
	var out []LocalFile
	for i, f := range o.links() {
		if !isLocal(f.Model) {
			continue
		}
		field, prefix := "model", "local"
		if i > 0 {
			field, prefix = "fallback", fmt.Sprintf("local-%d", i)
		}
		_, name, err := llm.ParseModel(f.Model)
		if err != nil {
			return nil, FieldError{Field: field, Msg: err.Error()}
		}
		ref, err := local.ParseRef(name)
		if err != nil {
			return nil, FieldError{Field: field, Msg: err.Error()}
		}
		files, _, err := ref.Files(ctx)
		if local.IsOutage(err) {
			return nil, fmt.Errorf("%s: %w", field, err)
		} else if err != nil {
			return nil, FieldError{Field: field, Msg: err.Error()}
		}
		for _, x := range files {
			out = append(out, LocalFile{prefix + "/" + x.Name, x.Path, x.Hub})
		}
	}
	return out, nil
}

// Networked reports whether a model that may be asked lies on the Hub, so that LocalFiles
// may ask the network.
func (o Options) Networked() bool {
	return slices.ContainsFunc(o.links(), func(f Fallback) bool {
		_, name, err := llm.ParseModel(f.Model)
		if err != nil || !isLocal(f.Model) {
			return false
		}
		ref, err := local.ParseRef(name)
		return err == nil && ref.Networked()
	})
}

// LocalRevisions gives, for each local model of the Hub that may be asked, the exact name
// of what it stands for.
func (o Options) LocalRevisions(ctx context.Context) ([]Teacher, error) {
	var out []Teacher
	for _, f := range o.links() {
		if !isLocal(f.Model) {
			continue
		}
		_, name, err := llm.ParseModel(f.Model)
		if err != nil {
			return nil, err
		}
		ref, err := local.ParseRef(name)
		if err != nil {
			return nil, err
		}
		_, resolved, err := ref.Files(ctx)
		if err != nil {
			return nil, err
		}
		t := Teacher{Model: f.Model, Endpoint: local.Name + "/" + resolved}
		if resolved != "" && resolved != ref.Model && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out, nil
}
