package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/distillflow/distillflow/flow/store"
)

// fillStore moves the packed results into a store.
func (r *replay) fillStore(ctx context.Context, st *store.Store) error {
	for _, e := range r.m.Entries {
		if !strings.HasPrefix(e.Path, blobsDir+"/") {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		file := filepath.Join(r.dir, filepath.FromSlash(e.Path))
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) && st.Has(e.Digest) {
			continue // an earlier replay of this folder has moved it
		}
		d, _, err := st.PutFile(file, store.Relaxed)
		if err != nil {
			return fmt.Errorf("unpacking a result: %w", err)
		}
		if d != e.Digest {
			return fmt.Errorf("the blob %s was changed after it was unpacked", e.Digest)
		}
	}
	for _, s := range r.m.Stages {
		if !s.Packed {
			continue
		}
		if err := r.fillAction(st, s); err != nil {
			return fmt.Errorf("the packed result of stage %s: %w", s.Name, err)
		}
	}
	return nil
}

// fillAction publishes one packed result. Its key must be the hash of what the
// bundle says that it was made from, so that no result can pass for another's.
func (r *replay) fillAction(st *store.Store, s Stage) error {
	b, err := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(actionName(s.Key))))
	if err != nil {
		return fmt.Errorf("unpacking it: %w", err)
	}
	var p packedAction
	if err := json.Unmarshal(b, &p); err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	sum := sha256.Sum256(p.Preimage)
	if p.Action.Key != s.Key || hex.EncodeToString(sum[:]) != s.Key || p.Action.Incomplete {
		return errors.New("it does not belong to its key: the bundle was changed")
	}
	p.Action.Preimage = p.Preimage
	_, err = st.PutAction(&p.Action, store.Relaxed)
	return err
}
