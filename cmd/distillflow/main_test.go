package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/oci/ocitest"
	"github.com/distillflow/distillflow/internal/llm/local/localtest"
	"github.com/distillflow/distillflow/internal/lm/hub/hubtest"
)

// asProgram makes the test binary behave as distillflow, for tests that need a
// process they can kill.
const asProgram = "DISTILLFLOW_TEST_AS_PROGRAM"

func program() int {
	a := newApp()
	a.fault, a.now = childFaults()
	return a.run(untilSignal(), os.Args[1:])
}

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(program())
	}
	testscript.Main(m, map[string]func(){"distillflow": main})
}

// atOnce are the scripts in which several things happen at a time. The race detector looks
// at these; what the others start it sees in the tests of the packages.
var atOnce = []string{
	"bundle_hub", "cache_gc_locks", "ctl", "embed", "exit", "hub_local", "local", "lock_all",
	"only_errors", "refresh", "score", "train_moe", "ui", "waiting", "watching",
}

// TestScripts runs the whole program on the scripts of testdata/script.
func TestScripts(t *testing.T) {
	gguf := localtest.GGUF(t, nil)
	dir, files := "testdata/script", []string(nil)
	if raced {
		for _, name := range atOnce {
			files = append(files, filepath.Join(dir, name+".txtar"))
		}
		dir = ""
	}
	testscript.Run(t, testscript.Params{
		Dir:           dir,
		Files:         files,
		UpdateScripts: os.Getenv("DISTILLFLOW_UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			root, err := os.Getwd()
			if err != nil {
				return err
			}
			e.Setenv("RECIPES", root+"/../../recipes")
			e.Setenv("TINY_MODEL", root+"/../../stages/train/testdata/train-sft/basic/model")
			e.Setenv("TINY_GGUF", gguf)
			e.Setenv("DISTILLFLOW_MEMO", e.WorkDir+"/memo")
			e.Setenv("GORACE", os.Getenv("GORACE"))
			e.Values[teacherKey{}] = &map[string]any{}
			e.Values[hubKey{}] = &[]*hubtest.Server{}
			e.Values[registryKey{}] = new(*ocitest.Server)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ran":       cmdRan,
			"events":    cmdEvents,
			"status":    cmdStatus,
			"keyof":     cmdKeyOf,
			"damage":    cmdDamage,
			"teacher":   cmdTeacher,
			"rebundle":  cmdRebundle,
			"openbatch": cmdOpenBatch,
			"edit":      cmdEdit,
			"hub":       cmdHub,
			"reasoner":  cmdReasoner,
			"registry":  cmdRegistry,
		},
	})
}
