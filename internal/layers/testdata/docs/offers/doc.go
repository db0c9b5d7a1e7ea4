// Package offers matches.
package offers
