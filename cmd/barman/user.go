package main

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/barman-go/barman/sdk"
)

// account is a user of the operating system.
type account struct {
	name, home string
	uid, gid   int
	groups     []int
}

// lookUpUser finds a user by name.
func lookUpUser(name string) (account, error) {
	found, err := user.Lookup(name)
	if err != nil {
		return account{}, sdk.Errorf(sdk.Invalid, "barman is configured to run as the user %q: %w", name, err)
	}
	a := account{name: name, home: found.HomeDir}
	if a.uid, err = strconv.Atoi(found.Uid); err != nil {
		return account{}, fmt.Errorf("user %q: %w", name, err)
	}
	if a.gid, err = strconv.Atoi(found.Gid); err != nil {
		return account{}, fmt.Errorf("user %q: %w", name, err)
	}
	ids, err := found.GroupIds()
	if err != nil {
		return account{}, fmt.Errorf("groups of user %q: %w", name, err)
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			a.groups = append(a.groups, n)
		}
	}
	return a, nil
}

// becomeUser makes the process that of the user whom the configuration names, so
// that root leaves no files behind which that user cannot write. Anybody else but
// root has to be that user.
func becomeUser(name string) error {
	if name == "" {
		return nil
	}
	a, err := lookUpUser(name)
	switch {
	case err != nil:
		return err
	case a.uid == os.Geteuid():
		return nil
	case os.Geteuid() != 0:
		return sdk.Errorf(sdk.Denied, "barman is configured to run as the user %q; run it as that user or as root: sudo -u %s barman …", name, name)
	}
	if err := syscall.Setgroups(a.groups); err != nil {
		return fmt.Errorf("become user %q: %w", name, err)
	}
	if err := syscall.Setgid(a.gid); err != nil {
		return fmt.Errorf("become user %q: %w", name, err)
	}
	if err := syscall.Setuid(a.uid); err != nil {
		return fmt.Errorf("become user %q: %w", name, err)
	}
	for variable, value := range map[string]string{"HOME": a.home, "USER": a.name, "LOGNAME": a.name} {
		if err := os.Setenv(variable, value); err != nil {
			return fmt.Errorf("become user %q: %w", name, err)
		}
	}
	return nil
}
