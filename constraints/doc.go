// Package constraints decides by rules over hostname, agent attributes, region
// and zone, and over what is already placed, which agents may take one more
// task, and says why not.
//
// It knows nothing of offers, clocks or networks. A framework parses its rules
// once, makes a [Placement], counts in it what is placed and asks it about
// agents:
//
//	rules, err := constraints.Parse("hostname:UNIQUE", "rack:GROUP_BY:3")
//	p := rules.Placement()
//	p.Place(agent)                  // for each task that counts
//	if v, ok := p.Check(agent); !ok {
//		log.Print(v)            // which rule, which value, which counts, what would do
//	}
//
// What counts as placed is the caller's decision; see [Placement.PlaceAll] with
// [Since], [SameVersion], [Except] and [Confirmed]. A batch counts what it has
// chosen itself before it looks at the next task.
//
// # Rules
//
// A rule is a field, an operator and perhaps a value. Fields are hostname (or
// @hostname), @region, @zone, and otherwise the name of an attribute. An agent
// that lacks the field is refused, except where the table says otherwise.
//
//	UNIQUE        no placed task has the agent's value
//	MAX_PER n     fewer than n placed tasks have it
//	GROUP_BY n    tasks are spread evenly over the values, of which there are n
//	CLUSTER       the value is that of the first placed task; with a value: is that value
//	LIKE re       the whole value matches the regular expression
//	UNLIKE re     it does not, or the agent lacks the field
//	IS v          the value is v; numbers are compared as Mesos prints them
//	IS_NOT v      it is not, or the agent lacks the field
//	NEAR pod      a task of the other pod type is placed on the value
//	NEVER_WITH pod  none is
//
// All rules must hold. [And], [Or] and [Not] build trees. [Prefer] turns rules
// into preferences with a weight, which [Placement.Score] sums up and which
// never refuse. Unless a rule names regions, [Placement.Home] keeps tasks in the
// home region.
//
// # Dialects
//
// The classic frameworks use the same words for different things, so the
// [Dialect] is chosen by name: marathon (the default), marathon-quota, kafka or
// dcos. A caller tells the wanted tasks of marathon-quota by [Placement.Want].
//
//	                   marathon           marathon-quota      kafka               dcos
//	from               Marathon <= 1.9    late 1.10, 1.11     mesos/kafka         dcos-commons
//	operators          all                all                 like unlike unique  all, in any case
//	                                                          cluster groupBy
//	                                                          near neverWith
//	text               f:OP:v,f2:OP       as marathon         f=op:v,f2=op        f:OP:v,f2:OP
//	escapes            \, \:              \, \:               \ before any        \, \:
//	JSON               [["f","OP","v"]]   as marathon         [["f","op:v"]]      [[...]], ["f","OP","v"]
//	                   [{"fieldName":"f","operator":"OP","value":"v"}]
//	GROUP_BY:          a new value        a new value while   a new value while   a new value
//	accepts            always; a known    there are < n; a    there are < n;      always; a known
//	                   one once there     known one up to     then the emptiest   one once there
//	                   are n, if it is    its share of the    of the known        are n, if it is
//	                   the emptiest       wanted tasks                            the emptiest
//	without a number   n = 0              refused             n = 1: all on one   n = 0
//	placed task        counts as a group  counts as a group   is skipped          is skipped
//	without the field
//	UNLIKE, no field   accepts            accepts             refuses             accepts
//	patterns           whole value        whole value         ^re$, so that a|b   whole "name:value",
//	                                                          takes ax            name not quoted
//	scalar 0.8         0.8                0.8                 not seen            0.800
//	set {b,a}          {a,b}              {a,b}               not seen            {b,a}
//	repeated name      the first          the first           the last text       any (GROUP_BY: the
//	                                                                              first, in any case)
//	IS 1.0             1, not text 1.0    as marathon         -                   numbers only for
//	                                                                              hostname and domain
//	home region        unless @region or @zone is named       not demanded        unless @region is
//
// Trees and preferences are JSON objects in every dialect, inside which a rule
// may be a row, an object or a text:
//
//	[["hostname","UNIQUE"],
//	 {"any": ["rack:IS:a", {"not": "disk:LIKE:hdd.*"}]},
//	 {"prefer": "rack:GROUP_BY:3", "weight": 10},
//	 {"fieldName": "rack", "operator": "like", "value": "r.*", "dialect": "kafka"}]
//
// [Rules.String] prints rules in the form in which they were written.
//
// # Deviations
//
// What an old system let through and then failed on is refused as
// configuration, and a few things are read as they were meant:
//
//	dialect         what                          there                          here, and why
//	marathon        operator in lower case        passed validation, then failed refused, with the right word
//	marathon        LIKE, UNLIKE without pattern  never matched, with a warning  refused: could never be placed
//	dcos            LIKE, UNLIKE with an empty    of the empty value only        refused: surely not meant
//	                pattern
//	marathon        GROUP_BY inf                  refused by validation only     refused
//	marathon-quota  GROUP_BY without number, < 1  division by zero               refused, number demanded
//	marathon        IS_NOT                        unknown                        the negation of IS
//	all             Java's own regular            worked                         refused by name: RE2 cannot say it,
//	                expressions (look-around,                                    or would read it differently
//	                back-references, ...)
//	all             fields with @ but the three   an attribute that cannot exist refused, with the nearest
//	kafka           @hostname, @region, @zone     an attribute of that name      the agent's hostname and domain
//	kafka           clusterx:v, groupByx:2        the value was dropped          refused, with the right word
//	kafka           f=op:a=b                      dropped what follows a         refused, with how to escape
//	kafka           two rules on one field        early versions kept the last   both hold, as in later versions
//	dcos            empty field                   never matched                  refused: could never be placed
//	dcos            bad pattern on hostname       an exception                   refused
//	dcos            IS_NOT v, where the agent     accepted if any attribute      refused if the field is v
//	                also has other attributes     differed
//
// # Many agents
//
// [Agents] is a table that several placements share: each value is kept once and
// has a number, and counts are arrays by that number. Placing, removing and
// checking take constant time per rule, and refusing costs an index until
// someone wants the [Violation]. [Placement.Allowed] keeps the set of all agents
// that may take one more, at the cost of what has changed.
//
// # At the master
//
// A master of Mesos 1.11 or later can filter offers by attributes.
// [Placement.Prefilter] gives it what it can check, as [OfferConstraints]; it
// never hides an agent that the rules allow.
package constraints
