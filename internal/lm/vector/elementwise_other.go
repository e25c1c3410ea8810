//go:build !amd64 && !arm64

package vector

import "math"

// The following leave all to their callers.

func exps(y, x []float32, minus, times float32) (sum float32, done int) { return 0, 0 }
func gates(y, gate, up []float32, g Gate) int                           { return 0 }
func gatesBack(gate, up, dy []float32, g Gate) int                      { return 0 }
func softmaxBacks(d, p []float32, mean float32) int                     { return 0 }
func caps(x []float32, limit float32) int                               { return 0 }
func maxs(x []float32) (top float32, done int)                          { return float32(math.Inf(-1)), 0 }
func scales(x []float32, by float32) int                                { return 0 }
func adds(y []float32, a float32, x []float32) int                      { return 0 }
func dots(x, y []float32) (sum float32, done int)                       { return 0, 0 }
func dots3(x, y, z []float32) (sum float32, done int)                   { return 0, 0 }
func norms(y, x, w []float32, r float32) int                            { return 0 }
func normsBack(dx, dy, x, w []float32, r, b float32, more bool) int     { return 0 }
