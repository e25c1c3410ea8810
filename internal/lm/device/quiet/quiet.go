// Package quiet silences the log of the XLA bindings. They write to standard error
// what they also return as an error, and their package variables write there even
// before main runs, when a machine has no /etc/ld.so.conf. Go initialises packages
// that are ready in the order of their import paths, and this one needs nothing but
// the log, so it comes before them.
package quiet

import "k8s.io/klog/v2"

// Done says that the log is silent. Setting it is what silences.
var Done = silence()

func silence() bool {
	klog.SetLogger(klog.Logger{}) // the zero logger drops everything
	return true
}
