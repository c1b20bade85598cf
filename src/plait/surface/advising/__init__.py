"""What `plait.advise` is made of: items each handed out once, models tried for a moment, and a verdict in words.

Supply --items--> tryout --Tried--> verdict --Row--> words --> Advice (table, JSON, plot)
Evidence -> candidates --which models, predicted--^
"""
