"""Make the bucket of a URL in the store, and put a folder's Parquet files there as rows/.

Start: python bucket.py URL FOLDER (compose.yaml does). The store is the environment's: AWS_*.
What is there already stays.
"""

import sys
from pathlib import Path
from urllib.parse import urlsplit

import s3fs

url, folder = sys.argv[1:]
bucket = urlsplit(url).netloc
store = s3fs.S3FileSystem()
if not store.exists(bucket):
    store.mkdir(bucket)
for file in sorted(Path(folder).glob("*.parquet")):
    there = f"{bucket}/rows/{file.name}"
    if not store.exists(there):
        store.put_file(file, there)
