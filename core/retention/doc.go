// Package retention reads retention policies and judges backups by them. It
// knows neither stores nor clocks.
package retention
