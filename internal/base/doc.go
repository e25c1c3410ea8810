// Package base is the ground floor: small packages that both the engine and the
// domain libraries stand on. They know neither.
package base
