// Package ini reads the dialect of INI that Python's ConfigParser reads with
// strict=False: sections and options may be repeated, and the last one wins.
//
// Comments are whole lines that begin with "#" or ";". An option is a name, "="
// or ":", and a value; names are the same in upper and lower case. A line that is
// indented further than the option above continues its value, and so does an
// empty line before one that does. What section DEFAULT says holds in every
// section. "%(name)s" in a value stands for another option, "%%" for a per cent
// sign.
//
// Every option remembers where it was written, for messages and for whoever
// changes the file.
package ini
