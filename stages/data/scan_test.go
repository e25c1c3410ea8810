package data

import (
	"testing"

	"github.com/distillflow/distillflow/flow/stagetest"
)

func TestScanGolden(t *testing.T) { stagetest.Golden(t, Scan) }
