package mesostest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Script is all that chance decides in a simulation. Equal scripts give equal
// histories, as long as the program is the same.
type Script struct {
	Seed   uint64
	Agents int           // how many of the agents take part; 0: all
	Sizes  []int         // how often each framework was made smaller; nil: never
	Storm  time.Duration // when the faults stop
	Faults []Fault       // in the order of their times
}

// historyMark begins the part of a saved script that is for people only.
const historyMark = "--- what happened"

// WriteTo writes the script as text, one fault in a line. It is to be read,
// and may be edited.
func (s Script) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, s.String())
	return int64(n), err
}

// String is the script as [ReadScript] reads it.
func (s Script) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d\n", s.Seed)
	if s.Agents > 0 {
		fmt.Fprintf(&b, "agents %d\n", s.Agents)
	}
	if slices.ContainsFunc(s.Sizes, func(n int) bool { return n != 0 }) {
		fmt.Fprintf(&b, "smaller %s\n", strings.Trim(fmt.Sprint(s.Sizes), "[]"))
	}
	fmt.Fprintf(&b, "storm %v\n", s.Storm)
	for _, f := range s.Faults {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

// ReadScript reads what [Script.WriteTo] or [Finding.Save] wrote. Lines that
// are empty or begin with # are left out, and so is the history.
func ReadScript(r io.Reader) (Script, error) {
	var s Script
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == historyMark {
			break
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := s.readLine(line); err != nil {
			return s, fmt.Errorf("line %d: %w", n, err)
		}
	}
	sortFaults(s.Faults)
	return s, lines.Err()
}

func (s *Script) readLine(line string) (err error) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "seed":
		s.Seed, err = strconv.ParseUint(rest, 10, 64)
	case "agents":
		s.Agents, err = strconv.Atoi(rest)
	case "smaller":
		for number := range strings.FieldsSeq(rest) {
			n, err := strconv.Atoi(number)
			if err != nil {
				return fmt.Errorf("mesostest: script: smaller %q: want numbers", rest)
			}
			s.Sizes = append(s.Sizes, n)
		}
	case "storm":
		s.Storm, err = time.ParseDuration(rest)
	default:
		var f Fault
		f, err = parseFault(line)
		s.Faults = append(s.Faults, f)
		return err
	}
	if err != nil {
		return fmt.Errorf("mesostest: script: %s %q: want a number, or for storm a duration", word, rest)
	}
	return nil
}

// LoadScript reads a script from a file.
func LoadScript(path string) (Script, error) {
	f, err := os.Open(path)
	if err != nil {
		return Script{}, err
	}
	defer f.Close()
	s, err := ReadScript(f)
	if err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// scriptFault is a fault in bytes: kind, pick and the time since the one
// before it in units of 10 ms.
const scriptFault = 5

// Bytes are the script's faults in a form in which every change of a byte is
// another script: the corpus of a fuzz test. Times are rounded to 10 ms.
func (s Script) Bytes() []byte {
	var out []byte
	var before time.Duration
	for _, f := range s.Faults {
		pause := min(max(f.At-before, 0)/(10*time.Millisecond), 1<<16-1)
		before += pause * 10 * time.Millisecond
		out = append(out, byte(f.Kind))
		out = binary.BigEndian.AppendUint16(out, f.Pick)
		out = binary.BigEndian.AppendUint16(out, uint16(pause))
	}
	return out
}

// ScriptOf makes a script of any bytes. The storm lasts until the last fault.
func ScriptOf(seed uint64, data []byte) Script {
	s := Script{Seed: seed}
	var at time.Duration
	for ; len(data) >= scriptFault; data = data[scriptFault:] {
		at += time.Duration(binary.BigEndian.Uint16(data[3:])) * 10 * time.Millisecond
		s.Faults = append(s.Faults, Fault{at, FaultKind(int(data[0]) % faultKinds), binary.BigEndian.Uint16(data[1:])})
	}
	s.Storm = at
	return s
}
