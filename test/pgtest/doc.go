// Package pgtest starts what the tests of this project need and nothing outlives them: scratch PostgreSQL clusters of each
// supported server, writers whose rows can be accounted for, the built barman, an sshd that stands for another host, small file systems, memory limits.
//
// A thing that is missing fails the test with the command that installs it; nothing is skipped. Run as root, PostgreSQL
// runs as user postgres; otherwise as the user of the test.
package pgtest
