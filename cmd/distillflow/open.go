package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/internal/base/paths"
)

func (a app) openCmd() *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use:   "open RUN",
		Short: "Open the report of a run in a browser",
		Long: `open shows the report of a run in a browser, the program named by BROWSER if that is
set, and prints where the report is. ` + runDoc,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			st, r, err := a.openRun(&f, pos[0])
			if err != nil {
				return err
			}
			if err := st.Close(); err != nil {
				return err
			}
			report := r.ReportPath()
			if _, err := os.Stat(report); err != nil {
				return fmt.Errorf("run %s has no report (%s: %w); 'distillflow show %s' prints its figures", r.ID, report, paths.Cause(err), pos[0])
			}
			fmt.Fprintln(a.out, report)
			argv := a.browser()
			if argv == nil {
				return nil
			}
			if err := exec.CommandContext(c.Context(), argv[0], append(argv[1:], report)...).Start(); err != nil {
				return errors.Join(errors.New("no browser could be started; open the file above in one"), err)
			}
			return nil
		},
	}
	f.add(c)
	c.ValidArgsFunction = a.runNames(&f)
	return c
}

// browser is the command that shows a file in a browser; nil where there is no screen.
func (a app) browser() []string {
	switch {
	case a.getenv("BROWSER") != "":
		return []string{a.getenv("BROWSER")}
	case runtime.GOOS == "darwin":
		return []string{"open"}
	case runtime.GOOS == "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler"}
	case a.getenv("DISPLAY") == "" && a.getenv("WAYLAND_DISPLAY") == "":
		return nil
	}
	if path, err := exec.LookPath("xdg-open"); err == nil {
		return []string{path}
	}
	return nil
}
