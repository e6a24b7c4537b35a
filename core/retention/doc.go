// Package retention reads retention policies. It knows neither stores nor
// clocks.
package retention
