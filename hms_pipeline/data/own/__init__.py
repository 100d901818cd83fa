"""Own recordings and labels → the competition's folder.

``texts`` reads what people typed, ``labels`` says what it means, ``header`` reads a file's clock
and annotations, ``votes`` turns labels into windows with votes, ``cut`` writes the files of one
recording, ``names`` finds recordings and numbers patients, ``folder`` runs all of it, ``report``
says what became of every label.
"""
