// Package mysql runs MySQL on Mesos.
package mysql
