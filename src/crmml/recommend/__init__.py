"""Recommenders: interactions in, ranked items out.

All recommenders have the same three verbs (`fit`, `recommend`, `similar_items`) and the same way to disk and
back (`get_state`, `set_state`); see `crmml.recommend.base.Recommender`.
"""
