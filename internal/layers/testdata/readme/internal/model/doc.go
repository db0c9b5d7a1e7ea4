// Package model is for this module only.
package model
