package main

import (
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/flow/lock"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/text"
)

func (a app) cacheCmd() *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use:   "cache",
		Short: "Look into the store of results, check it, or clean it up",
		Long: `cache works on one store: that of --store or DISTILLFLOW_STORE, else .distillflow
beside the recipe that you name, or in the working directory.

These commands never touch the memo, which holds the teacher's paid answers
(DISTILLFLOW_MEMO).`,
		Args: func(c *cobra.Command, pos []string) error {
			if len(pos) > 0 {
				return usageError{fmt.Errorf("cache has no command %q\nrun 'distillflow cache --help' for the commands", pos[0])}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f.add(c)
	c.AddCommand(a.cacheStatsCmd(&f), a.cacheVerifyCmd(&f), a.cacheGCCmd(&f), a.cacheWhyCmd(&f))
	return c
}

func (a app) cacheStatsCmd(f *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "stats [RECIPE]",
		Short: "Count what the store holds",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, pos []string) error {
			st, err := f.open(a, optional(pos, 0), true)
			if err != nil {
				return err
			}
			defer st.Close()
			s, err := st.Stats()
			if err != nil {
				return err
			}
			tw := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
			fmt.Fprintf(tw, "store\t%s\n", st.Dir())
			fmt.Fprintf(tw, "results\t%d\n", s.Actions)
			if s.Conflicts > 0 {
				fmt.Fprintf(tw, "conflicts\t%d\tother results of the same keys\n", s.Conflicts)
			}
			fmt.Fprintf(tw, "blobs\t%d\t%s\n", s.Blobs, text.Size(s.BlobBytes))
			fmt.Fprintf(tw, "folders\t%d\n", s.Trees)
			fmt.Fprintf(tw, "runs\t%d\n", s.Runs)
			fmt.Fprintf(tw, "unfinished\t%d\n", s.Work)
			return tw.Flush()
		},
	}
}

func (a app) cacheVerifyCmd(f *storeFlags) *cobra.Command {
	var sample int
	c := &cobra.Command{
		Use:   "verify [RECIPE]",
		Short: "Read the store again and check every hash",
		Long: `verify hashes the content of the store and checks that every result is complete.
Damaged content counts as missing from then on: the stage that made it runs again
when a run next needs it.

Exit status: 0 everything is sound, 1 something is damaged.`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			if sample < 0 {
				return usageError{fmt.Errorf("--sample %d: want a number of blobs, or 0 for all", sample)}
			}
			st, err := f.open(a, optional(pos, 0), false)
			if err != nil {
				return err
			}
			defer st.Close()
			rep, err := st.Verify(c.Context(), sample)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "read %s (%s), %d damaged\n", text.Plural(rep.Blobs, "blob"), text.Size(rep.Bytes), len(rep.Damaged))
			fmt.Fprintf(a.out, "%s sound, %d incomplete, %d damaged\n", text.Plural(rep.Actions, "result"), rep.Incomplete, len(rep.Broken))
			for _, d := range rep.Damaged {
				fmt.Fprintf(a.out, "  damaged blob    %s\n", d)
			}
			for _, k := range rep.Broken {
				fmt.Fprintf(a.out, "  damaged result  %s%s\n", k, madeBy(st, k))
			}
			if len(rep.Damaged)+len(rep.Broken) > 0 {
				return errors.New("the store is damaged; the next run makes again what it needs")
			}
			return nil
		},
	}
	c.Flags().IntVar(&sample, "sample", 0, "hash only `N` random blobs; 0: all")
	return c
}

// madeBy names a stage that uses a key, for messages.
func madeBy(st *store.Store, key string) string {
	uses, err := st.Uses(key)
	if err != nil || len(uses) == 0 {
		return ""
	}
	return "  of stage " + uses[0].Stage
}

func (a app) cacheGCCmd(f *storeFlags) *cobra.Command {
	var keepLast int
	var olderThan string
	var dry bool
	c := &cobra.Command{
		Use:   "gc [RECIPE...]",
		Short: "Remove results that nothing refers to",
		Long: `gc removes results and their files. It keeps the last result of every stage, what a
distillflow.lock names, the results of runs that it keeps, and whatever is younger
than --older-than. It keeps all runs unless --keep-last limits them. It looks for
locks beside the store, beside every recipe that the store remembers, and beside the
recipes that you name.

Nothing else may use the store meanwhile. gc never touches the teacher's answers.`,
		Args: args(cobra.ArbitraryArgs),
		RunE: func(c *cobra.Command, pos []string) error {
			o := store.GCOptions{KeepRuns: keepLast, DryRun: dry}
			if keepLast < 0 {
				return usageError{fmt.Errorf("--keep-last %d: want a number of runs, or 0 for all", keepLast)}
			}
			if olderThan != "" {
				var err error
				if o.OlderThan, err = age(olderThan); err != nil {
					return usageError{fmt.Errorf("--older-than: %w", err)}
				}
			}
			st, err := f.open(a, optional(pos, 0), dry)
			if err != nil {
				return err
			}
			defer st.Close()
			if o.Keep, err = lock.KeysBeside(st, pos); err != nil {
				return fmt.Errorf("nothing was removed: %w", err)
			}
			rep, err := st.GC(c.Context(), o)
			verb := "removed"
			if dry {
				verb = "would remove"
			}
			if err != nil && rep == (store.GCReport{}) {
				return err
			}
			fmt.Fprintf(a.out, "%s %s, %s, %s (%s), %s, %s\n", verb, text.Plural(rep.Runs, "run"), text.Plural(rep.Actions, "result"),
				text.Plural(rep.Blobs, "blob"), text.Size(rep.Bytes), text.Plural(rep.Trees, "folder"), text.Plural(rep.Work, "unfinished work folder"))
			fmt.Fprintf(a.out, "%s %s, %s (%s)\n", map[bool]string{true: "would keep", false: "kept"}[dry],
				text.Plural(rep.KeptActions, "result"), text.Plural(rep.KeptBlobs, "blob"), text.Size(rep.KeptBytes))
			return err
		},
	}
	c.Flags().IntVar(&keepLast, "keep-last", 0, "keep the newest `N` runs and forget the others; 0: all")
	c.Flags().StringVar(&olderThan, "older-than", "", "remove nothing younger than this `age`: 36h, 30d, 2w")
	c.Flags().BoolVar(&dry, "dry-run", false, "say what would be removed, and remove nothing")
	return c
}

// age reads a length of time: what Go reads (90m, 36h), and whole days and
// weeks (30d, 2w), which the ages of results are told in. It is never negative.
func age(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil && s != "" {
		n, nerr := strconv.Atoi(s[:len(s)-1])
		unit := map[byte]time.Duration{'d': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[s[len(s)-1]]
		if nerr == nil && unit != 0 && n <= int(1<<63-1)/int(unit) {
			d, err = time.Duration(n)*unit, nil
		}
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a length of time; write 36h, 30d or 2w", s)
	}
	return d, nil
}
