// Package sinks keeps the sinks of a server in step with its catalogue.
//
// The catalogue is in the server's directory, on this machine. A sink elsewhere
// has, beside the data of each backup, the description that the catalogue has of
// it: backup.info, the receipts and the note that it is kept. So what is in the
// sink can be listed and recovered by whoever has nothing else, and the catalogue
// can be written anew from it (see Import).
//
// # What a sink lacks
//
// Before something happens that a sink has to be told, or has to store, it is
// noted that the sink may lack it (catalogue.Lag); when the sink has it, the note
// goes. A process that is killed, or a sink that is away, leaves the note, and
// Sync makes up for what is noted. Nothing in a sink is replaced by other bytes
// but the description, and nothing is removed from it that was not deleted, or
// did not fail, according to the catalogue.
//
// # The order of effects
//
// In a sink a backup's data comes first and backup.info last, and backup.info goes
// first when a backup is deleted: what is listed there is complete.
package sinks
