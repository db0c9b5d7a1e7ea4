// Package offers matches.
package offers

// Match matches.
func Match() {}
