// Package constraints decides by rules over hostname, agent attributes, region
// and zone, and over what is already placed, which agents may take one more
// task, and says why not.
package constraints
