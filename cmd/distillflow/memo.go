package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/memoview"
	"github.com/distillflow/distillflow/flow/bundle"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/providers"
)

func (a app) memoCmd() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "memo",
		Short: "Show what was paid for: answers, spending, open batches",
		Long: `memo shows the memo of paid answers: where it is, how large it is, and what its
answers cost, by model and by the recipe that bought them.

The memo is in the folder that DISTILLFLOW_MEMO names, or else in your data
folder. All recipes share it. It is not a cache: nothing in it is removed by
itself, and to delete it means to pay again. docs/memo.md says how to back it up.

"unknown" is for answers of earlier versions, which did not record who bought
them, and for models without a known price.`,
		Example: `  distillflow memo
  distillflow memo batches
  distillflow memo export answers.dfa recipes/gsm8k.yaml`,
		Args: func(c *cobra.Command, pos []string) error {
			if len(pos) > 0 {
				return usageError{fmt.Errorf("memo has no command %q\nrun 'distillflow memo --help' for the commands", pos[0])}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			m, acc, err := a.memoAccount(c.Context())
			if err != nil {
				return err
			}
			defer m.Close() // it is only read
			where := "the default; DISTILLFLOW_MEMO names another folder"
			if a.getenv("DISTILLFLOW_MEMO") != "" {
				where = "DISTILLFLOW_MEMO"
			}
			st := m.Stats()
			sum := memoview.Summary{Dir: m.Dir(), Where: where, Bytes: st.Bytes, Files: st.Segments,
				Answers: acc.Answers, Models: acc.Models, Recipes: acc.Recipes, Batches: len(acc.Batches)}
			if asJSON {
				return memoview.JSON(a.out, sum)
			}
			return sum.Text(a.out)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.AddCommand(a.memoBatchesCmd(), a.memoVerifyCmd(), a.memoForgetCmd(), a.memoExportCmd(), a.memoImportCmd())
	return c
}

// openMemo opens the user's memo. Damage is told as a warning.
func (a app) openMemo() (*store.Memo, error) {
	dir, err := store.DefaultMemoDir(a.getenv)
	if err != nil {
		return nil, err
	}
	return store.OpenMemo(dir, store.MemoOptions{
		Warn: func(w store.Warning) { fmt.Fprintf(a.notes(), "distillflow: warning: %s\n", w) },
	})
}

// memoAccount opens the user's memo and adds up what was paid. Close the memo.
func (a app) memoAccount(ctx context.Context) (*store.Memo, *llm.Account, error) {
	m, err := a.openMemo()
	if err != nil {
		return nil, nil, err
	}
	acc, err := llm.ReadAccount(m, func(fn func([32]byte, []byte) error) error { return m.Records(ctx, fn) })
	if err != nil {
		return nil, nil, errors.Join(err, m.Close())
	}
	return m, acc, nil
}

func (a app) memoBatchesCmd() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "batches",
		Short: "List the provider batches that were submitted and not collected",
		Long: `batches lists what mode: batch has submitted and no run has collected yet. The next
run of a recipe that wants an answer of a batch goes on waiting for it.`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			m, acc, err := a.memoAccount(c.Context())
			if err != nil {
				return err
			}
			defer m.Close() // it is only read
			if asJSON {
				return memoview.JSON(a.out, acc.Batches)
			}
			return memoview.Batches(a.out, acc.Batches)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.AddCommand(a.memoBatchesCancelCmd())
	return c
}

func (a app) memoBatchesCancelCmd() *cobra.Command {
	var server providers.Fallback
	var keyFile string
	c := &cobra.Command{
		Use:   "cancel ID",
		Short: "Ask the provider to stop working on a batch",
		Long: `cancel asks the provider to stop working on a batch. What it has answered by then is
billed, and the next run that wants an answer of the batch collects it.

The API key comes from the provider's usual environment variable, unless a flag
says otherwise.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			m, acc, err := a.memoAccount(c.Context())
			if err != nil {
				return err
			}
			defer m.Close() // it is only read
			i := slices.IndexFunc(acc.Batches, func(b llm.OpenBatch) bool { return b.ID == pos[0] })
			if i < 0 || pos[0] == "" {
				return usageError{fmt.Errorf("the memo knows no open batch %s; 'distillflow memo batches' lists them", pos[0])}
			}
			if err := providers.CancelBatch(c.Context(), acc.Batches[i], server, keyFile, a.getenv); err != nil {
				return fmt.Errorf("canceling batch %s: %w", pos[0], err)
			}
			fmt.Fprintf(a.out, "asked %s to cancel batch %s\n", acc.Batches[i].Provider, pos[0])
			return nil
		},
	}
	c.Flags().StringVar(&server.APIKeyEnv, "api-key-env", "", "environment `variable` with the API key")
	c.Flags().StringVar(&keyFile, "api-key-file", "", "`file` with the API key")
	c.Flags().StringVar(&server.BaseURL, "base-url", "", "`address` of the server, if the recipe gives it another name by endpoint:")
	return c
}

func (a app) memoVerifyCmd() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify",
		Short: "Read every record and check its checksum",
		Long: `verify reads the whole memo. The request of a damaged record is sent again, and paid
again, when a run needs its answer.

It also counts the answers that contain "[key]". Earlier versions put that in the
place of the API key wherever it stood, in answers too; with a placeholder such as
none or test as the key, these are words of the teacher. 'distillflow memo forget
--containing "[key]"' has them asked again.

Exit status: 0 all is sound, 1 something is damaged.`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := a.openMemo()
			if err != nil {
				return err
			}
			defer m.Close() // it is only read
			var v memoview.Verified
			err = m.Records(c.Context(), func(_ [32]byte, value []byte) error {
				v.Records++
				if llm.Contains(value, llm.ReplacedKey) {
					v.Keys++
				}
				return nil
			})
			if err != nil {
				return err
			}
			v.Damaged = m.Stats().Corrupt
			if asJSON {
				err = memoview.JSON(a.out, v)
			} else {
				err = v.Text(a.out)
			}
			if err == nil && v.Damaged > 0 {
				err = errors.New("the memo is damaged; the requests of damaged records will be sent again")
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a app) memoForgetCmd() *cobra.Command {
	var containing string
	c := &cobra.Command{
		Use:   "forget --containing TEXT",
		Short: "Drop answers, so that they are asked and paid again",
		Long: `forget drops the answers whose text or reasoning contains TEXT. The next run that
needs one buys it again. Results that were made from them stay in the store:
distillflow run --force STAGE makes a stage's again.

No run may be writing to the memo meanwhile.`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if containing == "" {
				return usageError{errors.New("say which answers: --containing TEXT")}
			}
			m, err := a.openMemo()
			if err != nil {
				return err
			}
			n, err := m.Forget(c.Context(), func(_ [32]byte, value []byte) bool { return llm.Contains(value, containing) })
			fmt.Fprintf(a.out, "forgot %s\n", text.Plural(n, "answer"))
			return errors.Join(err, m.Close())
		},
	}
	c.Flags().StringVar(&containing, "containing", "", "drop the answers that contain this `text`")
	return c
}

func (a app) memoExportCmd() *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use:   "export FILE RECIPE",
		Short: "Write the answers of a recipe's last run into a file",
		Long: `export writes the answers that the last run of a recipe used, whoever bought them, for
'distillflow memo import' on another machine. The run must be done, and the recipe
and the files that it reads must be as they were. To take all answers along, copy
the memo's folder instead.

Answers are written as the provider sent them: look at them before you hand the
file on. API keys are not in it.`,
		Args: args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, pos []string) error {
			st, err := f.open(a, pos[1], false)
			if err != nil {
				return err
			}
			defer st.Close()
			run, err := lastRunOf(st, pos[1])
			if err != nil {
				return err
			}
			src, err := a.bundleSource(st, run)
			if err != nil {
				return err
			}
			m, err := a.openMemo()
			if err != nil {
				return err
			}
			defer m.Close() // it is only read
			src.Memo = m
			var n int
			var notes map[string]string
			if _, err := os.Stat(filepath.Dir(pos[0])); err != nil {
				return usageError{fmt.Errorf("writing %s: %w", pos[0], paths.Cause(err))}
			}
			err = atomicfile.Write(pos[0], 0o600, atomicfile.Durable, func(w io.Writer) (err error) {
				n, notes, err = bundle.ExportAnswers(c.Context(), w, src)
				return err
			})
			if err != nil {
				return err
			}
			info, err := os.Stat(pos[0])
			if err != nil {
				return err
			}
			for _, stage := range slices.Sorted(maps.Keys(notes)) {
				fmt.Fprintf(a.notes(), "distillflow: warning: the answers of stage %s are left out: %s\n", stage, notes[stage])
			}
			fmt.Fprintf(a.out, "wrote %s (%s): %s\n", pos[0], text.Size(info.Size()), text.Plural(n, "answer"))
			return nil
		},
	}
	f.add(c)
	return c
}

// lastRunOf is the last run of a recipe that is done.
func lastRunOf(st *store.Store, recipeFile string) (store.RunInfo, error) {
	id, err := filepath.Abs(recipeFile)
	if err != nil {
		return store.RunInfo{}, err
	}
	runs, err := st.Runs()
	if err != nil {
		return store.RunInfo{}, err
	}
	for _, r := range slices.Backward(runs) {
		if r.RecipeID == id && r.Status == "done" {
			return r, nil
		}
	}
	return store.RunInfo{}, usageError{fmt.Errorf("the store remembers no run of %s that is done: run it first", recipeFile)}
}

func (a app) memoImportCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Take the answers of an exported file into the memo",
		Long: `import puts the answers that 'distillflow memo export' wrote into the memo. A request
that has an answer here keeps it. Nothing is removed.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, pos []string) error {
			f, err := os.Open(pos[0])
			if err != nil {
				return usageError{fmt.Errorf("opening %s: %w", pos[0], paths.Cause(err))}
			}
			defer f.Close()
			m, err := a.openMemo()
			if err != nil {
				return err
			}
			before := m.Stats().Records
			n, err := bundle.ImportAnswers(f, m)
			added := m.Stats().Records - before
			if err = errors.Join(err, m.Close()); err != nil {
				return fmt.Errorf("importing %s: %w", pos[0], err)
			}
			fmt.Fprintf(a.out, "%s, %d of them new\n", text.Plural(n, "answer"), added)
			return nil
		},
	}
}
