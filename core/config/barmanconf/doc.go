// Package barmanconf reads barman.conf, the configuration of Python Barman, and
// says it in the blocks of HCL.
//
// Read gathers the files and tells every option's value for every server, with
// Python Barman's rules and defaults. Document says the same in blocks: what is
// written out as HCL by "barman config import" is what is loaded when a barman.conf
// is used as it is. An option that has no home among the blocks is named with the
// reason.
package barmanconf
