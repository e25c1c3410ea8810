// Package cachekey explains the key of a result: what it was made of, and which stages
// used it.
package cachekey

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/text"
)

// NameError is a name that does not lead to one key.
type NameError struct{ msg string }

// Error implements error.
func (e *NameError) Error() string { return e.msg }

// Key is all that a store knows of a key.
type Key struct {
	key      string
	action   *store.Action // nil when only a pointer remembers the key
	preimage json.RawMessage
	hit      bool
	uses     []store.Use
	others   int // results kept beside the one in force
}

// Explain gathers what the store knows of a key, or of the one key that begins
// with prefix.
func Explain(st *store.Store, prefix string) (*Key, error) {
	key, err := findKey(st, strings.ToLower(prefix))
	if err != nil {
		return nil, err
	}
	k := &Key{key: key}
	if k.action, k.hit, err = st.GetAction(key); err != nil {
		return nil, err
	}
	if k.uses, err = st.Uses(key); err != nil {
		return nil, err
	}
	if k.action != nil {
		k.preimage = k.action.Preimage
	} else if len(k.uses) > 0 {
		ptr, _, err := st.Last(k.uses[0].Recipe, k.uses[0].Stage)
		if err != nil {
			return nil, err
		}
		k.preimage = ptr.Preimage
	}
	if k.action == nil && len(k.uses) == 0 {
		return nil, fmt.Errorf("the store does not know the key %s", key)
	}
	conflicts, err := st.Conflicts(key)
	for _, c := range conflicts {
		k.others += len(c.Others)
	}
	return k, err
}

// findKey completes a shortened key.
func findKey(st *store.Store, prefix string) (string, error) {
	if len(prefix) < 4 {
		return "", &NameError{fmt.Sprintf("the key %q is too short; give four characters or more", prefix)}
	}
	if strings.Trim(prefix, "0123456789abcdef") != "" {
		return "", &NameError{fmt.Sprintf("%q is not a key; keys are hexadecimal", prefix)}
	}
	if len(prefix) == 64 {
		return prefix, nil
	}
	var found []string
	err := st.Actions(func(a *store.Action) error {
		if strings.HasPrefix(a.Key, prefix) {
			found = append(found, a.Key)
		}
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", fmt.Errorf("no key in the store begins with %s", prefix)
	case len(found) > 1:
		return "", &NameError{fmt.Sprintf("%d keys begin with %s; give more of the key", len(found), prefix)}
	}
	return found[0], nil
}

func (k *Key) state() string {
	switch {
	case k.action == nil:
		return "the store no longer has its result"
	case k.action.Damage != "":
		return "damaged: " + k.action.Damage
	case !k.hit:
		return "incomplete; the next run continues it"
	}
	return "in the store"
}

// keyJSON is `cache why --json`. Fields are only ever added.
type keyJSON struct {
	Key      string                  `json:"key"`
	State    string                  `json:"state"`
	Hit      bool                    `json:"hit"` // a run would take the result
	Preimage json.RawMessage         `json:"preimage"`
	Outputs  map[string]store.Output `json:"outputs"`
	Others   int                     `json:"others"` // further results of the same key
	Uses     []keyUse                `json:"uses"`
}

type keyUse struct {
	Recipe string `json:"recipe"`
	Stage  string `json:"stage"`
}

// JSON writes the key as one object.
func (k *Key) JSON(w io.Writer) error {
	out := keyJSON{Key: k.key, State: k.state(), Hit: k.hit, Preimage: k.preimage, Others: k.others, Uses: []keyUse{}}
	if k.action != nil {
		out.Outputs = k.action.Outputs
	}
	for _, u := range k.uses {
		out.Uses = append(out.Uses, keyUse(u))
	}
	return view.Indented(w, out)
}

// Text writes the key as a table.
func (k *Key) Text(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(title, format string, a ...any) { fmt.Fprintf(tw, "%s\t%s\n", title, fmt.Sprintf(format, a...)) }
	row("key", "%s", k.key)
	row("state", "%s", k.state())
	if k.action != nil && !k.action.Meta.Started.IsZero() {
		row("made", "%s in %.1f s, by stage %s", k.action.Meta.Started.UTC().Format(time.RFC3339), k.action.Meta.Seconds, k.action.Stage)
	}
	if k.others > 0 {
		row("conflicts", "%s kept beside it", text.Plural(k.others, "other result"))
	}
	if err := k.preimageRows(row); err != nil {
		return err
	}
	if k.action != nil {
		for _, port := range slices.Sorted(maps.Keys(k.action.Outputs)) {
			o := k.action.Outputs[port]
			what := text.Plural(int(o.Rows), "row")
			if o.Kind == store.KindDir {
				what = "folder"
			}
			row("output "+port, "%s, %s, %s", o.Digest, what, text.Size(o.Bytes))
		}
	}
	for _, u := range k.uses {
		row("used by", "stage %s of %s", u.Stage, u.Recipe)
	}
	if len(k.uses) == 0 {
		row("used by", "no stage; gc removes it unless a kept run holds it")
	}
	return tw.Flush()
}

func (k *Key) preimageRows(row func(title, format string, a ...any)) error {
	if k.preimage == nil {
		row("made of", "not recorded")
		return nil
	}
	var p plan.Preimage
	if err := json.Unmarshal(k.preimage, &p); err != nil {
		return errors.Join(fmt.Errorf("key %s: its record cannot be read", k.key), err)
	}
	row("stage type", "%s, version %d", p.Type, p.Version)
	for _, name := range slices.Sorted(maps.Keys(p.Config)) {
		row("config "+name, "%s", p.Config[name])
	}
	if p.Seed != nil {
		row("seed", "%d", *p.Seed)
	}
	if p.Platform != "" {
		row("platform", "%s", p.Platform)
	}
	for _, in := range p.Inputs {
		for _, d := range in.Digests {
			row("input "+in.Port, "%s", d)
		}
	}
	for _, e := range p.Externals {
		row(strings.TrimSpace("file "+e.Name), "%s", e.Digest)
	}
	return nil
}
