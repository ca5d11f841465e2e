"""A version takes over the traffic in steps, or goes back: rules, the laptop's split, and the cluster's."""
