//go:build goexperiment.simd

package device

// simdBuild says that the vector kernels are compiled in (GOEXPERIMENT=simd).
const simdBuild = true
