package constraints

import (
	"fmt"
	"regexp"
	"strings"
)

// compileWhole compiles a pattern that has to match a whole value.
func compileWhole(pattern string) (*regexp.Regexp, error) {
	if err := checkSyntax(pattern); err != nil {
		return nil, err
	}
	if _, err := regexp.Compile(pattern); err != nil { // alone, so that "a)(b" stays wrong
		return nil, fmt.Errorf("regular expression %q: %w", pattern, err)
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// compileBare compiles ^pattern$ without a group around the pattern, as
// mesos/kafka does: in "a|b" the ^ belongs to the first branch only.
func compileBare(pattern string) (*regexp.Regexp, error) {
	if err := checkSyntax(pattern); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(`^` + pattern + `$`)
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", pattern, err)
	}
	return re, nil
}

// checkSyntax refuses what only Java's regular expressions say, by its name.
func checkSyntax(pattern string) error {
	if construct := foreignSyntax(pattern); construct != "" {
		return fmt.Errorf("regular expression %q uses %s, which RE2 does not have", pattern, construct)
	}
	return nil
}

// matchAttribute returns a test of "name:value" texts as dcos-commons makes it:
// the name is part of the regular expression and is not quoted. A name that
// does not compile is taken literally.
func matchAttribute(name, pattern string) func(string) bool {
	if pattern == ".*" && regexp.QuoteMeta(name) == name {
		prefix := name + ":"
		return func(s string) bool { return strings.HasPrefix(s, prefix) && !strings.Contains(s, "\n") }
	}
	re, err := compileWhole(name + ":" + pattern)
	if err != nil {
		re = regexp.MustCompile(`\A` + regexp.QuoteMeta(name) + `:.*\z`)
	}
	return re.MatchString
}

// escapes that Java has and RE2 lacks, or reads as something else.
var foreignEscapes = map[byte]string{
	'k': "a named back-reference", 'G': `\G (end of the last match)`, 'Z': `\Z (end before a line terminator)`,
	'R': `\R (linebreak)`, 'X': `\X (grapheme)`, 'h': `\h (horizontal space)`, 'H': `\H`, 'v': `\v (vertical space)`, 'V': `\V`,
	'N': `\N (named character)`, 'e': `\e (escape)`, 'c': `\c (control character)`, 'u': `\u (write \x{...})`,
}

// foreignSyntax names the first construct of the pattern that Java's regular
// expressions have and RE2 lacks or reads differently; empty if there is none.
func foreignSyntax(pattern string) string {
	class := false     // inside [...]
	repeated := false  // the last thing was a repetition
	classStart := -1   // where a ] is still literal
	openBrace := false // inside {n,m}
	for i := 0; i < len(pattern); i++ {
		c, rest := pattern[i], pattern[i:]
		wasRepeated := repeated
		repeated = false
		switch {
		case c == '\\' && i+1 < len(pattern):
			if strings.HasPrefix(rest, `\Q`) {
				end := strings.Index(rest, `\E`)
				if end < 0 {
					return ""
				}
				i += end + 1
				continue
			}
			i++
			if name := foreignEscape(pattern[i], rest); name != "" {
				return name
			}
		case class && c == '[' && strings.HasPrefix(rest, "[:"):
			return "a POSIX class inside a class (write \\d, \\w or \\pL)"
		case class && c == '[':
			return "a class inside a class"
		case class && strings.HasPrefix(rest, "&&"):
			return "a class intersection (&&)"
		case class:
			class = c != ']' || i == classStart
		case c == '[':
			class, classStart = true, i+1
			if strings.HasPrefix(rest, "[^") {
				classStart = i + 2
				i++
			}
		case strings.HasPrefix(rest, "(?"):
			if name := foreignGroup(rest[2:]); name != "" {
				return name
			}
			i++
		case wasRepeated && c == '+':
			return "a possessive quantifier"
		case c == '*' || c == '+' || c == '?':
			repeated = !wasRepeated // the second of "*?" makes it lazy
		case c == '{':
			openBrace = true
		case c == '}':
			repeated, openBrace = openBrace, false
		}
	}
	return ""
}

func foreignEscape(c byte, rest string) string {
	switch {
	case c >= '1' && c <= '9':
		return "a back-reference (" + rest[:2] + ")"
	case (c == 'p' || c == 'P') && len(rest) > 2 && rest[2] == '{':
		name, _, _ := strings.Cut(rest[3:], "}")
		name = strings.TrimPrefix(name, "^")
		if _, err := regexp.Compile(`\p{` + name + `}`); err != nil {
			return "the class " + rest[:2] + "{" + name + "}"
		}
	}
	return foreignEscapes[c]
}

func foreignGroup(rest string) string {
	switch {
	case strings.HasPrefix(rest, "="), strings.HasPrefix(rest, "!"):
		return "look-ahead (?" + rest[:1] + "...)"
	case strings.HasPrefix(rest, "<="), strings.HasPrefix(rest, "<!"):
		return "look-behind (?" + rest[:2] + "...)"
	case strings.HasPrefix(rest, ">"):
		return "an atomic group (?>...)"
	}
	for _, c := range rest {
		switch c {
		case 'x', 'u', 'd', 'U':
			return "the flag (?" + string(c) + ")"
		case 'i', 'm', 's', '-':
		default:
			return ""
		}
	}
	return ""
}
