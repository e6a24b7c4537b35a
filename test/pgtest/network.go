package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Network is two hosts with a link between them that can be cut: namespaces of the kernel's, which share no interface with
// this host.
type Network struct {
	t          testing.TB
	here, over string // names of the namespaces
}

// Addresses of the hosts.
const (
	addressHere = "192.0.2.1"
	addressOver = "192.0.2.2" // that of an sshd in the network

	hardwareHere = "02:00:00:00:00:01"
	hardwareOver = "02:00:00:00:00:02"
)

// NewNetwork makes a network, which ends with the test. It needs root.
func NewNetwork(t testing.TB) *Network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
	unique := filepath.Base(Scratch(t))
	n := &Network{t: t, here: unique + "-here", over: unique + "-over"}
	for _, name := range []string{n.here, n.over} {
		n.ip("netns", "add", name)
		t.Cleanup(func() { n.ip("netns", "del", name) })
	}
	n.ip("link", "add", "cable", "address", hardwareHere, "netns", n.here, "type", "veth", "peer", "name", "cable", "address", hardwareOver, "netns", n.over)
	for name, address := range map[string]string{n.here: addressHere, n.over: addressOver} {
		n.ip("-n", name, "address", "add", address+"/24", "dev", "cable")
		n.ip("-n", name, "link", "set", "lo", "up")
		n.ip("-n", name, "link", "set", "cable", "up")
	}
	n.introduce(n.here, addressOver, hardwareOver)
	n.introduce(n.over, addressHere, hardwareHere)
	return n
}

// introduce tells a host where the other one is. A host that had to ask would learn that nobody is there, and would not
// ask again at once when somebody is.
func (n *Network) introduce(name, address, hardware string) {
	n.ip("-n", name, "neighbour", "replace", address, "lladdr", hardware, "dev", "cable", "nud", "permanent")
}

// Here makes a command that was not started one of the first host.
func (n *Network) Here(cmd *exec.Cmd) *exec.Cmd { return n.within(n.here, cmd) }

// within keeps the command's process: ip becomes it.
func (n *Network) within(name string, cmd *exec.Cmd) *exec.Cmd {
	cmd.Args = append([]string{"ip", "netns", "exec", name, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = ipProgram(n.t)
	return cmd
}

// Cut takes the cable out: what is sent gets lost, and nobody is told.
func (n *Network) Cut() { n.ip("-n", n.over, "link", "set", "cable", "down") }

// Mend puts the cable back.
func (n *Network) Mend() {
	n.ip("-n", n.over, "link", "set", "cable", "up")
	n.introduce(n.over, addressHere, hardwareHere) // which it has forgotten
}

func (n *Network) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command(ipProgram(n.t), args...).CombinedOutput(); err != nil {
		n.t.Fatal(fmt.Errorf("ip %s: %w\n%s", strings.Join(args, " "), err, out))
	}
}

// ipProgram is not on every user's PATH.
func ipProgram(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"ip", "/usr/sbin/ip", "/sbin/ip"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	t.Fatal("ip is not installed: run \"make deps\"")
	return ""
}
