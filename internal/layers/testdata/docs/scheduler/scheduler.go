// Package scheduler is documented in the wrong place.
package scheduler
