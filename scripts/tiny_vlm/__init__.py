"""Builds the tiny vision language model that tests run a real llama.cpp server with.

    pip install torch transformers tokenizers gguf jinja2      # none of them but torch is maskpilot's own
    python -m scripts.tiny_vlm tests/data/tiny_vlm             # ten minutes on a core

Where prompts have changed, it is enough to go on from the files there are:

    python -m scripts.tiny_vlm tests/data/tiny_vlm --start tests/data/tiny_vlm --steps 150

It knows one thing by heart: how a session goes. Whatever the image and the query, it sets the phrase "cup",
then gives one positive box, then finishes, in each of the three call styles; asked for a second look, it is
content. Its eyes are random numbers times zero: a picture is taken in and changes nothing.

    conversations.py   what is said in such sessions, by running them through maskpilot itself
    train.py           a tokenizer and a Qwen2 of some 350,000 parameters that learn to answer so
    export.py          both as the GGUF files that llama.cpp reads
"""
