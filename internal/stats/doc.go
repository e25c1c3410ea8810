// Package stats holds the statistics that reports need.
package stats
