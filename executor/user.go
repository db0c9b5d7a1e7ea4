package executor

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/mesokit/mesokit/executor/internal/guard"
)

// lookupUser finds "name", "name:group" or the same in numbers in the user
// database of this machine; nil for an empty name, which is whoever the executor
// is. Only root may become or give a file to somebody else.
func lookupUser(name string) (*guard.User, error) {
	if name == "" {
		return nil, nil
	}
	id, err := findUser(name)
	if err != nil {
		return nil, err
	}
	if own := os.Geteuid(); own != 0 && (int(id.UID) != own || int(id.GID) != os.Getegid()) {
		return nil, fmt.Errorf("user %q: the executor runs as uid %d, gid %d: want it to be root, or no other user than that", name, own, os.Getegid())
	}
	return id, nil
}

func findUser(name string) (*guard.User, error) {
	name, group, grouped := strings.Cut(name, ":")
	id, err := findAccount(name)
	if uid, notNumber := number(name); err != nil && grouped && notNumber == nil {
		id, err = &guard.User{UID: uid}, nil // the two numbers are enough
	}
	if err != nil {
		return nil, fmt.Errorf("user %q: %w: want a user of this machine, or uid:gid", name, err)
	}
	if !grouped {
		return id, nil
	}
	id.Groups = nil
	if id.GID, err = number(group); err == nil {
		return id, nil
	}
	g, err := user.LookupGroup(group)
	if err == nil {
		id.GID, err = number(g.Gid)
	}
	if err != nil {
		return nil, fmt.Errorf("user %q: group %q: %w: want a group of this machine", name, group, err)
	}
	return id, nil
}

// findAccount finds a user, by name or number, with the groups of the account.
func findAccount(name string) (*guard.User, error) {
	find := user.Lookup
	if _, err := number(name); err == nil {
		find = user.LookupId
	}
	u, err := find(name)
	if err != nil {
		return nil, err
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	numbers := []uint32{}
	for _, text := range append([]string{u.Uid, u.Gid}, groups...) {
		n, err := number(text)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	return &guard.User{UID: numbers[0], GID: numbers[1], Groups: numbers[2:]}, nil
}

func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}
