"""The review page: a request, its evidence beside the champion's, and the decision of a person."""
