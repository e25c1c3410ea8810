package analyze

import (
	"testing"

	"github.com/distillflow/distillflow/flow/stagetest"
)

func TestPosrate(t *testing.T)  { stagetest.Golden(t, Posrate) }
func TestAccuracy(t *testing.T) { stagetest.Golden(t, Accuracy) }
func TestFigures(t *testing.T)  { stagetest.Golden(t, Figures) }

func TestCompareArms(t *testing.T) { stagetest.Golden(t, CompareArms) }

func TestCompareSystems(t *testing.T) { stagetest.Golden(t, CompareSystems) }

func TestCompareRouters(t *testing.T) { stagetest.Golden(t, CompareRouters) }
