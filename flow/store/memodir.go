package store

import (
	"errors"
	"path/filepath"
	"runtime"
)

// DefaultMemoDir returns the folder of the memo of paid calls: the value of
// DISTILLFLOW_MEMO, else distillflow/memo in the user's data folder
// ($XDG_DATA_HOME, ~/.local/share, on Windows %LocalAppData%). It is not a
// cache folder, because what lies there was paid for. getenv is os.Getenv or a
// stand-in for tests.
func DefaultMemoDir(getenv func(string) string) (string, error) {
	if d := getenv("DISTILLFLOW_MEMO"); d != "" {
		return filepath.Abs(d)
	}
	// The base directory specification says to ignore relative values.
	if d := getenv("XDG_DATA_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "distillflow", "memo"), nil
	}
	if runtime.GOOS == "windows" {
		if d := getenv("LocalAppData"); d != "" {
			return filepath.Join(d, "distillflow", "memo"), nil
		}
	}
	for _, name := range []string{"HOME", "USERPROFILE"} {
		if d := getenv(name); d != "" {
			return filepath.Join(d, ".local", "share", "distillflow", "memo"), nil
		}
	}
	return "", errors.New("store: no folder for the memo of paid calls: set DISTILLFLOW_MEMO or HOME")
}
