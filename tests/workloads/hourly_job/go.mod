module memwhy/workloads/hourly_job

go 1.19
