// Package pipeline is the engine: it starts the stages of a pipeline, wires
// their lanes, and carries progress, receipts, cancellation and errors. Backup,
// WAL archiving, restore and copies are the same engine with other ends. It
// knows neither PostgreSQL nor any plugin by name.
//
// A pipeline that fails names the stage that was the cause: a stage whose
// neighbour went away is only its echo.
package pipeline
